/* SPDX-License-Identifier: Apache-2.0 */
/*
 * distance: the haversine formula (R. W. Sinnott, "Virtues of the Haversine",
 * Sky and Telescope 68, 1984, p. 159), which is exact on a sphere and keeps its
 * digits for sites that are near each other, where the cosine rule loses them:
 *
 *	h = sin^2(dlat/2) + cos(lat1) cos(lat2) sin^2(dlon/2)
 *	d = 2 R asin(sqrt(h))
 *
 * R is the mean radius of the earth, (2a+b)/3 = 6371.0088 km of GRS 80 (H.
 * Moritz, "Geodetic Reference System 1980", Journal of Geodesy 74, 2000). The
 * earth is no sphere; the error is at most about 0.5 %.
 */
#include "coordinator/distance.h"

#include <math.h>

#define RADIUS_KM 6371.0088

static double
radians(int32_t millionths)
{
	return millionths / 1e6 * (M_PI / 180);
}

double
distance_km(const struct location *a, const struct location *b)
{
	double lat1 = radians(a->lat), lat2 = radians(b->lat);
	double s = sin((lat2 - lat1) / 2);
	double t = sin((radians(b->lon) - radians(a->lon)) / 2);
	double h = s * s + cos(lat1) * cos(lat2) * t * t;

	if (!a->known || !b->known)
		return -1;
	/* Rounding may lead beyond the antipodes. */
	return 2 * RADIUS_KM * asin(sqrt(h < 1 ? h : 1));
}
