// Programs of several devices: gathered, run once on whole arrays, and cut into parts again.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "clients/pjrt/engine.h"

namespace megalith::pjrt {

// Where the parts of one array lie: part d starts at start[d]; all have the shape `part`. If it is
// `stacked`, a first dimension of parts, which is 1, is not that of the arrays of devices.
struct Placement {
  Shape whole, part;
  std::vector<Shape> start;  // per device
  bool stacked = false;

  Shape local() const {
    Shape shape = part;
    if (stacked) shape.erase(0);
    return shape;
  }
  bool split() const { return !(whole == part); }
};

// Runs `whole`, a program of one device, for `devices`. Its signature is that of one device; inputs
// and results of Run are those of device 0, then those of device 1, and so on.
std::shared_ptr<const LoadedProgram> MakeSpmdProgram(std::shared_ptr<const LoadedProgram> whole,
                                                     int devices, std::vector<Placement> inputs,
                                                     std::vector<Placement> outputs,
                                                     std::string shardings);

// What Serialize of such a program gives begins so; Load takes the rest to `load` what it runs.
inline constexpr std::string_view kSpmdMagic = "MGSPMD03";
Result<std::shared_ptr<const LoadedProgram>> LoadSpmdProgram(
    std::string_view serialized,
    const std::function<Result<std::shared_ptr<const LoadedProgram>>(std::string_view)>& load);

}  // namespace megalith::pjrt
