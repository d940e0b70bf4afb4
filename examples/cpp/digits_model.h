// A classifier of handwritten digits, written in C++ with arrays and operators: two dense layers
// and cross entropy.
#pragma once

#include <tuple>

#include "common/programs/tracing/tracing.h"

namespace digits {

using megalith::tracing::Array;

struct Sizes {
  int pixels = 64;
  int hidden = 32;
  int classes = 10;
};

// Weights and biases of the two layers.
using Params = std::tuple<Array, Array, Array, Array>;

inline Array Logits(const Params& params, Array images) {
  const auto& [w1, b1, w2, b2] = params;
  const Array hidden = Tanh(Matmul(images, w1) + b1);
  return Matmul(hidden, w2) + b2;
}

// The mean over the batch of -log p(label).
inline Array Loss(Params params, Array images, Array labels) {
  const Array logits = Logits(params, images);
  const Array one_hot = OneHot(labels, logits.dim(-1));
  const Array log_p = LogSoftmax(logits);
  return -Mean(Sum(one_hot * log_p, -1));
}

// One step of gradient descent: (loss, new parameters).
inline megalith::tracing::Arrays Step(Params params, Array images, Array labels) {
  const auto gradient = megalith::tracing::ValueAndGrad(Loss);
  const auto [loss, g1, g2, g3, g4] =
      std::tuple<Array, Array, Array, Array, Array>(gradient(params, images, labels));
  const auto& [w1, b1, w2, b2] = params;
  const double rate = 0.5;
  megalith::tracing::Arrays out = {loss};
  out.push_back(w1 - rate * g1);
  out.push_back(b1 - rate * g2);
  out.push_back(w2 - rate * g3);
  out.push_back(b2 - rate * g4);
  return out;
}

// The types of parameters, images and labels for a batch.
inline std::vector<megalith::tracing::Aval> ArgumentTypes(int batch, const Sizes& s = {}) {
  using megalith::tracing::F32;
  using megalith::tracing::I32;
  return {F32(s.pixels, s.hidden), F32(s.hidden),        F32(s.hidden, s.classes),
          F32(s.classes),          F32(batch, s.pixels), I32(batch)};
}

}  // namespace digits
