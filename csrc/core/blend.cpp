#include "crystal/blend.hpp"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace crystal {
namespace {

// Fits one target after another; the buffers live as long as the range of targets that a thread works on.
class Fitter {
  public:
    Fitter(std::size_t rows, std::size_t options)
        : rows_(rows),
          target_(options),
          mixture_(options),
          by_row_(rows * options),
          by_option_(rows * options),
          gradient_(rows),
          first_(rows),
          second_(rows),
          jumped_(rows),
          landed_(rows) {}

    // Keeps the options where the target has mass: the others have no part in f.
    void load(std::span<const double> target, std::span<const double> dictionary) {
        const std::size_t all = target.size();
        double total = 0.0;
        for (const double mass : target) total += mass;
        kept_ = 0;
        for (std::size_t k = 0; k < all; ++k) {
            if (target[k] <= 0.0) continue;
            target_[kept_] = target[k] / total;
            for (std::size_t r = 0; r < rows_; ++r) by_option_[kept_ * rows_ + r] = dictionary[r * all + k];
            ++kept_;
        }
        for (std::size_t r = 0; r < rows_; ++r)
            for (std::size_t k = 0; k < kept_; ++k) by_row_[r * kept_ + k] = by_option_[k * rows_ + r];
    }

    // SQUAREM (Varadhan and Roland 2008, scheme S3): two EM steps give a direction and its bend; the jump
    // along them is stabilised by a third step, and refused where f at the jump is below f(w), so that f
    // never falls.
    std::pair<std::size_t, double> solve(std::span<double> w, std::span<const double> start,
                                         const BlendLimits& limits, StopFlag stop) {
        if (start.empty())
            std::fill(w.begin(), w.end(), 1.0 / static_cast<double>(rows_));
        else
            std::copy(start.begin(), start.end(), w.begin());
        for (std::size_t passes = 1;; ++passes) {
            throw_if(stop);
            const double gap = step(w, first_);
            if (gap <= limits.tolerance || passes + 3 > limits.iterations)
                return {passes, std::max(gap, 0.0)};
            if (passes > kPlainPasses && exchange(w)) {
                step(w, first_);
                ++passes;
            }
            const double before = objective();
            step(first_, second_);
            ++passes;
            bool landed = false;
            if (jump(w)) {
                step(jumped_, landed_);
                ++passes;
                landed = objective() >= before;
            }
            const std::vector<double>& next = landed ? landed_ : second_;
            std::copy(next.begin(), next.end(), w.begin());
        }
    }

  private:
    // out = the EM map of w; returns max_r df/dw_r - 1. Leaves the mixture of w behind, for objective().
    double step(std::span<const double> w, std::span<double> out) {
        std::fill_n(mixture_.begin(), kept_, 0.0);
        for (std::size_t r = 0; r < rows_; ++r) {
            const double weight = w[r];
            const double* row = &by_row_[r * kept_];
            for (std::size_t k = 0; k < kept_; ++k) mixture_[k] += weight * row[k];
        }
        std::fill(gradient_.begin(), gradient_.end(), 0.0);
        for (std::size_t k = 0; k < kept_; ++k) {
            const double ratio = target_[k] / mixture_[k];
            const double* column = &by_option_[k * rows_];
            for (std::size_t r = 0; r < rows_; ++r) gradient_[r] += ratio * column[r];
        }
        double steepest = 0.0;
        double total = 0.0;
        for (std::size_t r = 0; r < rows_; ++r) {
            steepest = std::max(steepest, gradient_[r]);
            out[r] = w[r] * gradient_[r];
            total += out[r];
        }
        // The sum is 1 but for rounding, which would add up over thousands of passes.
        for (double& weight : out) weight /= total;
        return steepest - 1.0;
    }

    double objective() const {
        double value = 0.0;
        for (std::size_t k = 0; k < kept_; ++k) value += target_[k] * std::log(mixture_[k]);
        return value;
    }

    // Extrapolates w, first_, second_ into jumped_; false where that goes no farther than second_.
    bool jump(std::span<const double> w) {
        double along = 0.0;
        double bend = 0.0;
        for (std::size_t r = 0; r < rows_; ++r) {
            const double a = first_[r] - w[r];
            const double b = second_[r] - first_[r] - a;
            along += a * a;
            bend += b * b;
        }
        const double length = bend > 0.0 ? std::sqrt(along / bend) : 0.0;
        if (length <= 1.0) return false;
        double total = 0.0;
        for (std::size_t r = 0; r < rows_; ++r) {
            const double a = first_[r] - w[r];
            const double b = second_[r] - first_[r] - a;
            // EM cannot leave 0, so a weight that would jump below it only becomes much smaller.
            jumped_[r] = std::max(w[r] + 2.0 * length * a + length * length * b, kShrink * second_[r]);
            total += jumped_[r];
        }
        for (double& weight : jumped_) weight /= total;
        return true;
    }

    // Moves weight from the row that f likes least to the one it likes best, by a Newton step along that
    // line. EM alone takes thousands of passes to empty a row, or to refill one that a jump has all but
    // emptied.
    bool exchange(std::span<double> w) {
        std::size_t best = 0;
        std::size_t worst = rows_;
        for (std::size_t r = 0; r < rows_; ++r) {
            if (gradient_[r] > gradient_[best]) best = r;
            if (w[r] > 0.0 && (worst == rows_ || gradient_[r] < gradient_[worst])) worst = r;
        }
        double bend = 0.0;
        for (std::size_t k = 0; k < kept_; ++k) {
            const double slope = (by_row_[best * kept_ + k] - by_row_[worst * kept_ + k]) / mixture_[k];
            bend += target_[k] * slope * slope;
        }
        if (bend <= 0.0) return false;
        double move = std::min(w[worst], (gradient_[best] - gradient_[worst]) / bend);
        const double before = objective();
        for (int halvings = 0; halvings < 20; ++halvings, move *= 0.5) {
            double after = 0.0;
            for (std::size_t k = 0; k < kept_; ++k) {
                const double shift = by_row_[best * kept_ + k] - by_row_[worst * kept_ + k];
                after += target_[k] * std::log(mixture_[k] + move * shift);
            }
            if (after <= before) continue;
            w[best] += move;
            w[worst] = move >= w[worst] ? 0.0 : w[worst] - move;
            return true;
        }
        return false;
    }

    static constexpr std::size_t kPlainPasses = 60;
    static constexpr double kShrink = 0.1;

    std::size_t rows_;
    std::size_t kept_ = 0;
    std::vector<double> target_, mixture_, by_row_, by_option_, gradient_;
    std::vector<double> first_, second_, jumped_, landed_;
};

}  // namespace

void fit_blend(std::span<const double> targets, std::span<const double> dictionary, const BlendShape& shape,
               std::span<const double> start, const BlendLimits& limits, std::span<double> weights,
               std::span<std::int64_t> iterations, std::span<double> gaps, StopFlag stop) {
    const std::size_t block = shape.rows * shape.options;
    if (shape.rows == 0 || shape.options == 0) return;
    // A range is about a millisecond of work, so that small calls stay on the caller and long ones share
    // evenly.
    const std::size_t grain = std::max<std::size_t>(1, 8192 / block);
    parallel_for(
        shape.targets, grain, thread_count(limits.threads), stop, [&](std::size_t begin, std::size_t end) {
            Fitter fitter(shape.rows, shape.options);
            for (std::size_t t = begin; t < end; ++t) {
                fitter.load(targets.subspan(t * shape.options, shape.options),
                            dictionary.subspan(shape.shared ? 0 : t * block, block));
                const std::size_t own = t * shape.rows;
                const auto [passes, gap] =
                    fitter.solve(weights.subspan(own, shape.rows),
                                 start.empty() ? start : start.subspan(own, shape.rows), limits, stop);
                iterations[t] = static_cast<std::int64_t>(passes);
                gaps[t] = gap;
            }
        });
}

}  // namespace crystal
