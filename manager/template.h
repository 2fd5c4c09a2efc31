/* SPDX-License-Identifier: Apache-2.0 */
/* template: texts that are long; cmd_template.c fills in what is between @. */
#ifndef MANAGER_TEMPLATE_H
#define MANAGER_TEMPLATE_H

extern const char rsyncd_text[], rsyncd_hub_text[], rsync_keys_text[];

#endif
