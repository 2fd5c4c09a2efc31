/* SPDX-License-Identifier: Apache-2.0 */
/* distance: how far apart two sites are. */
#ifndef COORDINATOR_DISTANCE_H
#define COORDINATOR_DISTANCE_H

#include "fileformat/location.h"

/* One disaster may take both sites when they are nearer than that. */
#define DISTANCE_LEAST_KM 40.0

/* Along the great circle, in km; < 0 when one is not known. */
double distance_km(const struct location *a, const struct location *b);

#endif
