# bench: programs that tests/bench/bench.py runs; docs/benchmarks.md.
noinst_PROGRAMS += tests/bench/bench_writer
tests_bench_bench_writer_SOURCES = tests/bench/bench_writer.c
tests_bench_bench_writer_LDADD = -lpthread
EXTRA_DIST += tests/bench/figures.py tests/bench/lab.py \
	tests/bench/bench_capture.py tests/bench/bench_memory.py \
	tests/bench/bench_redrive.py tests/bench/bench_ship.py \
	tests/bench/bench_steady.py
dist_noinst_SCRIPTS += tests/bench/bench.py

# All of them, for a quarter of an hour or more.
bench: all
	$(srcdir)/tests/bench/bench.py --build .
.PHONY: bench
