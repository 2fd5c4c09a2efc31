# coordinator: the one daemon of a site, and all that the manager asks of it.
noinst_LIBRARIES += libcoordinator.a
bin_PROGRAMS += coordinator/aim-coordinator
dist_man_MANS += coordinator/aim-coordinator.8
exampledir = $(docdir)/examples
example_DATA = coordinator/aim-coordinator.service
EXTRA_DIST += coordinator/aim-coordinator.service.in
CLEANFILES += coordinator/aim-coordinator.service
coordinator/aim-coordinator.service: coordinator/aim-coordinator.service.in
	$(AM_V_GEN)$(MKDIR_P) coordinator && \
	sed 's|@bindir[@]|$(bindir)|' \
		'$(srcdir)/coordinator/aim-coordinator.service.in' >$@.tmp && \
	mv -f $@.tmp $@
coordinator_aim_coordinator_SOURCES = coordinator/main.c
libcoordinator_a_SOURCES =

# the site: home, catalogue, requests, supervisor
libcoordinator_a_SOURCES += \
	coordinator/catalogue.h coordinator/catalogue_db.h coordinator/catalogue.c \
	coordinator/catalogue_load.c coordinator/catalogue_change.c \
	coordinator/catalogue_projection.c \
	coordinator/catalogue_setting.c coordinator/catalogue_forward.c \
	coordinator/catalogue_group.c \
	coordinator/catalogue_site.c \
	coordinator/hook.h coordinator/hook.c \
	coordinator/hooks.h coordinator/hooks.c coordinator/request_site.c \
	coordinator/commit.h coordinator/commit.c \
	coordinator/distance.h coordinator/distance.c \
	coordinator/sql.h coordinator/sql.c \
	coordinator/message.h coordinator/message.c \
	coordinator/request.h coordinator/request.c \
	coordinator/request_volume.c coordinator/request_pending.c \
	coordinator/request_folder.c coordinator/request_adopt.c \
	coordinator/request_group.c coordinator/request_set.c \
	coordinator/request_mirror.c \
	coordinator/request_destination.c coordinator/request_base.c \
	coordinator/request_carry.c coordinator/request_projection.c \
	coordinator/request_layout.c \
	coordinator/carry.c coordinator/carry.h \
	coordinator/rebuild.h coordinator/rebuild.c \
	coordinator/request_expand.c coordinator/request_key.c \
	coordinator/keyring.h coordinator/keyring.c \
	coordinator/place.h coordinator/place.c \
	coordinator/server.h coordinator/server.c \
	coordinator/role.h coordinator/role.c coordinator/role_live.c \
	coordinator/notify.h coordinator/notify.c \
	coordinator/lease.h coordinator/lease.c \
	coordinator/supervisor.h coordinator/supervisor.c coordinator/once.c \
	coordinator/config.h \
	coordinator/destination_option.c coordinator/destination_option.h \
	coordinator/home.h coordinator/home.c coordinator/home_open.c \
	coordinator/home_note.c coordinator/home_quarantine.c \
	coordinator/home_site.h coordinator/home_site.c \
	coordinator/roles.h

# the source's side: seal, copy-in, prune, ship
libcoordinator_a_SOURCES += \
	coordinator/ack_store.c coordinator/ack_store.h \
	coordinator/backoff.c coordinator/backoff.h \
	coordinator/break.c coordinator/compare.c coordinator/compare.h \
	coordinator/cool.c coordinator/copyin.c coordinator/copyin_compare.c \
	coordinator/extents.c coordinator/extents.h \
	coordinator/gather.c coordinator/gather.h coordinator/gather_config.c \
	coordinator/gather_cut.c \
	coordinator/gather_plan.c coordinator/gather_plan.h \
	coordinator/gather_state.c coordinator/gather_state.h \
	coordinator/gather_work.c \
	coordinator/http.c coordinator/http.h coordinator/http_check.c \
	coordinator/http_curl.c coordinator/http_explain.c \
	coordinator/http_header.c \
	coordinator/http_url.c coordinator/http_url.h \
	coordinator/http_worker.c coordinator/http_worker.h \
	coordinator/job.c coordinator/job.h \
	coordinator/need.c coordinator/need.h \
	coordinator/passing.c \
	coordinator/project.c coordinator/project.h \
	coordinator/project_file.c coordinator/project_keep.c \
	coordinator/projection.c coordinator/projection.h \
	coordinator/projection_note.c \
	coordinator/prune.c coordinator/rate.c coordinator/rate.h \
	coordinator/retry.c coordinator/retry.h \
	coordinator/rsync_call.c coordinator/rsync_explain.c \
	coordinator/rsync_place.c \
	coordinator/rsync_url.c coordinator/rsync_url.h \
	coordinator/scratch.c coordinator/scratch.h \
	coordinator/secret.c coordinator/secret.h \
	coordinator/s3_compare.c coordinator/s3_credentials.c \
	coordinator/s3_credentials.h coordinator/s3_error.c \
	coordinator/s3_error.h coordinator/s3_explain.c \
	coordinator/remote.c coordinator/remote.h coordinator/remote_here.c \
	coordinator/remote_http.c coordinator/remote_sftp.c \
	coordinator/s3_place.c \
	coordinator/s3_put.c coordinator/s3_request.c \
	coordinator/s3_request.h coordinator/s3_url.c coordinator/s3_url.h \
	coordinator/seal.c coordinator/sealed.c coordinator/sealed.h \
	coordinator/sftp_explain.c coordinator/sftp_url.c \
	coordinator/sftp_url.h coordinator/sftp_worker.c \
	coordinator/sftp_worker.h \
	coordinator/ship.c coordinator/ship.h coordinator/ship_ack.c \
	coordinator/ship_commit.c \
	coordinator/ship_hub.c coordinator/ship_relay.c \
	coordinator/ship_note.c coordinator/ship_send.c \
	coordinator/ship_sums.c \
	coordinator/sums_store.c coordinator/sums_store.h \
	coordinator/sigv4.c coordinator/sigv4.h \
	coordinator/source.c coordinator/source.h coordinator/source_note.c \
	coordinator/source_projected.c \
	coordinator/source_commit.c coordinator/source_spool.c \
	coordinator/source_cut.c \
	coordinator/ssh_key.c coordinator/ssh_key.h \
	coordinator/tip.c \
	coordinator/tool.c coordinator/tool.h coordinator/tool_moved.c \
	coordinator/watch.c coordinator/watch.h \
	coordinator/transfer.c coordinator/transfer.h \
	coordinator/transport.c coordinator/transport.h \
	coordinator/transport_dir.c coordinator/transport_dir.h \
	coordinator/transport_dir_place.c coordinator/transport_https.c \
	coordinator/transport_https.h coordinator/transport_https_place.c \
	coordinator/transport_rsync.c coordinator/transport_rsync.h \
	coordinator/transport_s3.c coordinator/transport_s3.h \
	coordinator/transport_sftp.c \
	coordinator/url.c coordinator/url.h

# the mirror's side: receive, apply, acknowledge
libcoordinator_a_SOURCES += \
	coordinator/mirror_state.c coordinator/mirror_state.h \
	coordinator/target.c coordinator/target.h \
	coordinator/target_check.c \
	coordinator/ahead.c coordinator/ahead.h \
	coordinator/apply.c coordinator/apply.h \
	coordinator/apply_done.c \
	coordinator/apply_cut.c \
	coordinator/apply_plan.c coordinator/apply_range.c \
	coordinator/apply_sums.c \
	coordinator/attempt.c coordinator/attempt.h \
	coordinator/chain.c coordinator/chain.h \
	coordinator/fetch.c coordinator/fetch.h \
	coordinator/fetch_sums.c coordinator/fetch_take.c \
	coordinator/fetch_tell.c \
	coordinator/fetched.c coordinator/fetched.h \
	coordinator/incoming.c coordinator/incoming.h \
	coordinator/mirror_targets.c coordinator/mirror_targets.h \
	coordinator/publish.c coordinator/publish.h \
	coordinator/receive.c coordinator/receive.h \
	coordinator/receive_scan.c coordinator/receive_take.c \
	coordinator/receive_tell.c coordinator/receive_forward.c \
	coordinator/forward.c coordinator/forward.h \
	coordinator/receive_silence.c \
	coordinator/redrive.c coordinator/redrive.h \
	coordinator/stage.c coordinator/stage.h \
	coordinator/survey.c coordinator/survey.h \
	coordinator/tail.c coordinator/tail.h
