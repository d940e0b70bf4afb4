// Made-up data for the digit classifier: every class has a pattern of its own, every image is a
// noisy copy of one.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "common/foundation/tensor/tensor.h"
#include "examples/cpp/digits_model.h"

namespace digits {

// Numbers in [-1, 1) that follow from the seed.
class Noise {
 public:
  explicit Noise(uint64_t seed) : state_(seed) {}
  float Next() {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<float>(static_cast<double>(state_ >> 40) / (1 << 23) - 1.0);
  }

 private:
  uint64_t state_;
};

inline megalith::tensor::Tensor Filled(const megalith::tensor::Shape& shape, float scale,
                                       Noise* noise) {
  // A few kilobytes: memory is there.
  megalith::tensor::Tensor t =
      *megalith::tensor::Tensor::Create(megalith::tensor::DType::kF32, shape);
  for (float& v : t.MutableAs<float>()) v = scale * noise->Next();
  return t;
}

inline std::vector<megalith::tensor::Tensor> InitialParams(const Sizes& s = {}) {
  Noise noise(1);
  const float scale = 1.0f / std::sqrt(static_cast<float>(s.pixels));
  std::vector<megalith::tensor::Tensor> out;
  out.push_back(Filled({s.pixels, s.hidden}, scale, &noise));
  out.push_back(Filled({s.hidden}, 0, &noise));
  out.push_back(Filled({s.hidden, s.classes}, scale, &noise));
  out.push_back(Filled({s.classes}, 0, &noise));
  return out;
}

// Images and labels.
inline std::vector<megalith::tensor::Tensor> MadeUpDigits(int batch, const Sizes& s = {}) {
  Noise noise(2);
  const megalith::tensor::Tensor patterns = Filled({s.classes, s.pixels}, 1, &noise);
  megalith::tensor::Tensor images = Filled({batch, s.pixels}, 0.2f, &noise);
  megalith::tensor::Tensor labels =
      *megalith::tensor::Tensor::Create(megalith::tensor::DType::kI32, {batch});
  for (int i = 0; i < batch; ++i) {
    const int label = i % s.classes;
    labels.SetInt(i, label);
    for (int p = 0; p < s.pixels; ++p) {
      images.MutableAs<float>()[static_cast<size_t>(i * s.pixels + p)] +=
          patterns.As<float>()[static_cast<size_t>(label * s.pixels + p)];
    }
  }
  return {images, labels};
}

}  // namespace digits
