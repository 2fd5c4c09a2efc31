# bench: programs that tests/bench/bench.py runs; docs/benchmarks.md.
noinst_PROGRAMS += tests/bench/bench_writer tests/bench/bench_queue \
	tests/bench/bench_redrive tests/bench/bench_ship tests/bench/bench_twin
noinst_PROGRAMS += tests/bench/bench_calls
tests_bench_bench_calls_SOURCES = tests/bench/bench_calls.c
tests_bench_bench_calls_LDADD = -ldl
dist_noinst_SCRIPTS += tests/bench/bench_calls.sh \
	tests/bench/bench_commit.sh
noinst_PROGRAMS += tests/bench/bench_relay
tests_bench_bench_relay_SOURCES = tests/bench/bench_relay.c
noinst_PROGRAMS += tests/bench/bench_replay
tests_bench_bench_replay_SOURCES = tests/bench/bench_replay.c
tests_bench_bench_writer_SOURCES = tests/bench/bench_writer.c
tests_bench_bench_writer_LDADD = -lpthread
tests_bench_bench_twin_SOURCES = tests/bench/bench_twin.c
tests_bench_bench_queue_SOURCES = tests/bench/bench_queue.c
tests_bench_bench_redrive_SOURCES = tests/bench/bench_redrive.c \
	tests/bench/bench_chain.c tests/bench/bench_chain.h
tests_bench_bench_ship_SOURCES = tests/bench/bench_ship.c \
	tests/bench/bench_chain.c tests/bench/bench_chain.h
# what a filter costs that writes all twice
EXTRA_DIST += tests/bench/bench_twin_filter.c
if NBDKIT
noinst_PROGRAMS += tests/bench/nbdkit-twin-filter.so
tests_bench_nbdkit_twin_filter_so_SOURCES = tests/bench/bench_twin_filter.c
tests_bench_nbdkit_twin_filter_so_CFLAGS = $(AIM_CFLAGS) $(NBDKIT_CFLAGS)
tests_bench_nbdkit_twin_filter_so_LDFLAGS = $(AIM_LDFLAGS) -shared
tests_bench_nbdkit_twin_filter_so_LDADD =
endif
EXTRA_DIST += tests/bench/figures.py tests/bench/lab.py \
	tests/bench/bench_capture.py tests/bench/bench_logwrites.py \
	tests/bench/bench_memory.py \
	tests/bench/bench_nbdkit.py \
	tests/bench/bench_redrive.py tests/bench/bench_scale.py \
	tests/bench/bench_ship.py \
	tests/bench/bench_steady.py tests/bench/bench_transport.py \
	tests/bench/servers.py
dist_noinst_SCRIPTS += tests/bench/bench.py

# All of them, for a quarter of an hour or more.
bench: all
	$(srcdir)/tests/bench/bench.py --build .
