// Every event that the code may log, in one table; docs/events.md is printed from it and a test
// holds every Log() call against it.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "common/foundation/telemetry/log.h"

namespace megalith::telemetry {

struct EventDef {
  std::string_view name;
  Level level;
  std::string_view fields;   // names, separated by blanks
  std::string_view meaning;  // what happened and, for warn and error, what to do
};

// Sorted by name.
std::span<const EventDef> Events();

// nullptr if no event has this name.
const EventDef* FindEvent(std::string_view name);

// The markdown table of docs/events.md.
std::string EventsMarkdown();

}  // namespace megalith::telemetry
