/* The log density of one negative-binomial mechanism and its gradient, as one writes it by hand.

   eta = intercept + columns . causes + region + provider, mean exp(eta), dispersion 1 / raw^2; group
   effects are centred. Gammas are taken once per distinct count. Compiled with
   gcc -O3 -march=native -ffast-math, whose exp and log come from libmvec in vectors.

   Layout of the point: intercept, causes[k], log sd_region, log sd_provider, log raw,
   region[regions], provider[providers]. Rows are sorted by provider, as many for each. */

#include <math.h>

#define HALF_LOG_TWO_PI 0.91893853320467274

typedef struct {
    long rows, causes, regions, providers, distinct;
    const double *columns; /* causes x rows */
    const double *y, *counts, *times;
    const long *region_of; /* of each provider */
    const double *priors;  /* mean, sd of the intercept and of each cause; sd of three scales */
    double *eta, *slope;   /* rows; work */
    double constant;
} Parts;

static double digamma(double x) {
    double result = 0.0;
    while (x < 6.0) {
        result -= 1.0 / x;
        x += 1.0;
    }
    double f = 1.0 / (x * x);
    return result + log(x) - 0.5 / x -
           f * (1.0 / 12 - f * (1.0 / 120 - f * (1.0 / 252 - f * (1.0 / 240 - f / 132))));
}

double log_density(const double *restrict point, const Parts *parts, double *restrict gradient) {
    const long n = parts->rows, k = parts->causes, regions = parts->regions;
    const long providers = parts->providers, each = n / providers;
    const double *causes = point + 1, *region = point + k + 4, *provider = region + regions;
    const double sd_region = exp(point[k + 1]), sd_provider = exp(point[k + 2]);
    const double raw = exp(point[k + 3]), dispersion = 1.0 / (raw * raw);
    const double log_dispersion = -2.0 * point[k + 3];
    double *restrict eta = parts->eta, *restrict slope = parts->slope;
    const double *restrict y = parts->y;

    for (long p = 0; p < providers; p++) {
        const double base = point[0] + provider[p] + region[parts->region_of[p]];
        for (long i = p * each; i < (p + 1) * each; i++) eta[i] = base;
    }
    for (long j = 0; j < k; j++) {
        const double b = causes[j], *restrict column = parts->columns + j * n;
        for (long i = 0; i < n; i++) eta[i] += b * column[i];
    }
    double value = parts->constant, pull = 0.0, drag = 0.0;
    for (long i = 0; i < n; i++) {
        const double odds = eta[i] - log_dispersion, e = exp(-fabs(odds));
        const double softplus = fmax(odds, 0.0) + log(1.0 + e);
        const double share = (odds > 0.0 ? 1.0 : e) / (1.0 + e);
        const double weight = dispersion + y[i];
        value += y[i] * eta[i] - weight * softplus;
        slope[i] = y[i] - weight * share;
        pull += weight * share;
        drag += softplus;
    }
    double by_dispersion = pull / dispersion - drag;
    const double lgamma_0 = lgamma(dispersion), digamma_0 = digamma(dispersion);
    for (long j = 0; j < parts->distinct; j++) {
        const double c = parts->counts[j], at = parts->times[j];
        value += at * (lgamma(dispersion + c) - lgamma_0 - c * log_dispersion);
        by_dispersion += at * (digamma(dispersion + c) - digamma_0 - c / dispersion);
    }

    for (long r = 0; r < regions; r++) gradient[k + 4 + r] = 0.0;
    double all = 0.0;
    for (long p = 0; p < providers; p++) {
        double sum = 0.0;
        for (long i = p * each; i < (p + 1) * each; i++) sum += slope[i];
        gradient[k + 4 + regions + p] = sum;
        gradient[k + 4 + parts->region_of[p]] += sum;
        all += sum;
    }
    gradient[0] = all;
    for (long j = 0; j < k; j++) {
        const double *restrict column = parts->columns + j * n;
        double sum = 0.0;
        for (long i = 0; i < n; i++) sum += slope[i] * column[i];
        gradient[1 + j] = sum;
    }

    const double *priors = parts->priors;
    for (long j = 0; j <= k; j++) {
        const double z = (point[j] - priors[2 * j]) / priors[2 * j + 1];
        value -= 0.5 * z * z + log(priors[2 * j + 1]) + HALF_LOG_TWO_PI;
        gradient[j] -= z / priors[2 * j + 1];
    }
    const double scales[3] = {sd_region, sd_provider, raw};
    for (long j = 0; j < 3; j++) { /* half-normal, with the Jacobian of the exponential */
        const double bound = priors[2 * (k + 1) + j], z = scales[j] / bound;
        value += 0.69314718055994531 - 0.5 * z * z - log(bound) - HALF_LOG_TWO_PI;
        value += point[k + 1 + j];
        gradient[k + 1 + j] = 1.0 - z * z;
    }
    gradient[k + 3] += by_dispersion * -2.0 * dispersion;
    const double *effects[2] = {region, provider};
    const long sizes[2] = {regions, providers};
    double *into = gradient + k + 4;
    for (long level = 0; level < 2; level++) {
        const double sd = scales[level], precision = 1.0 / (sd * sd);
        double squares = 0.0;
        for (long g = 0; g < sizes[level]; g++) {
            squares += effects[level][g] * effects[level][g];
            into[g] -= effects[level][g] * precision;
        }
        value -= 0.5 * squares * precision + sizes[level] * (log(sd) + HALF_LOG_TWO_PI);
        gradient[k + 1 + level] += squares * precision - sizes[level];
        into += sizes[level];
    }
    return value;
}
