# manager: what the operator types; aimdump lives in a folder of its own.

# aim-manager: main.c reads options; the rest is its library
noinst_LIBRARIES += libmanager.a
libmanager_a_SOURCES = \
	manager/args.c manager/tell.c \
	manager/client.h manager/client.c \
	manager/command.h manager/commands.c \
	manager/cmd_carry.c \
	manager/cmd_change.c manager/cmd_gather.c \
	manager/cmd_init.c manager/cmd_key.c \
	manager/cmd_group.c manager/cmd_hook.c \
	manager/cmd_list.c manager/cmd_logwrites.c \
	manager/cmd_marker.c manager/cmd_projection.c \
	manager/cmd_run.c manager/cmd_status.c \
	manager/cmd_template.c manager/template.h manager/template_rsync.c \
	manager/cmd_test.c manager/cmd_wait.c \
	manager/program.h manager/program.c \
	manager/status.h manager/status.c \
	manager/status_commit.c \
	manager/status_json.c manager/status_log.c manager/status_text.c
bin_PROGRAMS += manager/aim-manager
dist_man_MANS += manager/aim-manager.8
manager_aim_manager_SOURCES = manager/main.c
manager_aim_manager_LDADD = libmanager.a liblogwrites.a $(LDADD)

# aimdump
bin_PROGRAMS += manager/aimdump/aimdump
dist_man_MANS += manager/aimdump/aimdump.1
manager_aimdump_aimdump_SOURCES = \
	manager/aimdump/examine.c manager/aimdump/examine.h \
	manager/aimdump/keys.c manager/aimdump/keys.h \
	manager/aimdump/main.c \
	manager/aimdump/show.h \
	manager/aimdump/show_json.c \
	manager/aimdump/show_text.c
