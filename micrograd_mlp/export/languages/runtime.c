/* Functions of Python that C lacks or has with another meaning. A definition is written in front of the
   functions that need it; an empty line separates definitions. */

/* The remainder that has the sign of y, as Python's % has it. */
static double modulo(double x, double y)
{
    const double rest = fmod(x, y);
    if (rest == 0.0) return copysign(0.0, y);
    return (rest < 0.0) == (y < 0.0) ? rest : rest + y;
}

/* x / y rounded down, from the exact remainder: 1 // 0.1 is 9. */
static double floor_divide(double x, double y)
{
    const double quotient = (x - modulo(x, y)) / y;
    const double below = floor(quotient);
    if (quotient == 0.0) return copysign(0.0, x / y);
    return quotient - below > 0.5 ? below + 1.0 : below;
}

/* Whether z[0] is nan although the other numbers are not: Python raises a ValueError then. */
static int is_undefined(const double *z, int n)
{
    for (int k = 1; k < n; k++) if (isnan(z[k])) return 0;
    return isnan(z[0]) != 0;
}

/* Whether z[0] is infinite although the other numbers are finite: Python raises an OverflowError then. */
static int is_overflow(const double *z, int n)
{
    for (int k = 1; k < n; k++) if (!isfinite(z[k])) return 0;
    return isinf(z[0]) != 0;
}

/* The sum with the rounding errors of its steps added at the end (Neumaier), as Python has it from 3.12. */
static double sum(const double *z, int n)
{
    double result = z[0], lost = 0.0;
    for (int k = 1; k < n; k++) {
        const double next = result + z[k];
        lost += fabs(result) >= fabs(z[k]) ? (result - next) + z[k] : (z[k] - next) + result;
        result = next;
    }
    return lost != 0.0 && isfinite(lost) ? result + lost : result;
}

/* The exact sum, rounded once (Shewchuk): `parts` have no bits in common, so 64 are enough. */
static double exact_sum(const double *z, int n)
{
    double parts[64], special = 0.0, result = 0.0;
    int count = 0;
    for (int k = 0; k < n; k++) {
        double x = z[k];
        int kept = 0;
        if (!isfinite(x)) {
            special += x;
            continue;
        }
        for (int j = 0; j < count; j++) {
            double y = parts[j];
            if (fabs(x) < fabs(y)) {
                const double smaller = x;
                x = y;
                y = smaller;
            }
            const double high = x + y;
            const double low = y - (high - x);
            if (low != 0.0) parts[kept++] = low;
            x = high;
        }
        parts[kept] = x;
        count = kept + 1;
    }
    if (special != 0.0) return special;
    while (count > 0) {
        const double x = result, y = parts[--count];
        result = x + y;
        const double low = y - (result - x);
        if (low != 0.0) {
            /* The rest of the parts decides where the last rounding was a tie. */
            const double rest = count > 0 ? parts[count - 1] : 0.0;
            const double doubled = result + 2.0 * low;
            const int same_sign = (low > 0.0 && rest > 0.0) || (low < 0.0 && rest < 0.0);
            return same_sign && 2.0 * low == doubled - result ? doubled : result;
        }
    }
    return result;
}

static double product(const double *z, int n)
{
    double result = 1.0;
    for (int k = 0; k < n; k++) result *= z[k];
    return result;
}

/* The square root of the sum of squares, without overflow. */
static double length(const double *z, int n)
{
    double largest_size = 0.0, result = 0.0;
    int undefined = 0;
    for (int k = 0; k < n; k++) {
        if (isnan(z[k])) undefined = 1;
        if (fabs(z[k]) > largest_size) largest_size = fabs(z[k]);
    }
    if (isinf(largest_size)) return largest_size;
    if (undefined) return NAN;
    if (largest_size == 0.0) return 0.0;
    for (int k = 0; k < n; k++) result += (z[k] / largest_size) * (z[k] / largest_size);
    return largest_size * sqrt(result);
}

/* The first of the largest, as Python's max: nan is larger than nothing. */
static double largest(const double *z, int n)
{
    double result = z[0];
    for (int k = 1; k < n; k++) if (z[k] > result) result = z[k];
    return result;
}

/* The first of the smallest, as Python's min: nan is smaller than nothing. */
static double smallest(const double *z, int n)
{
    double result = z[0];
    for (int k = 1; k < n; k++) if (z[k] < result) result = z[k];
    return result;
}
