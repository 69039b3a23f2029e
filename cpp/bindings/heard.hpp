// What learners hear while a batch is collected.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>
#include <vector>

namespace socialgrid::bindings {

// What all learners hear, in so many columns: nothing before leaders act, everybody's last actions,
// or what all learners chose last of a further decision.
struct Channel {
  enum Kind : std::int64_t { kSilence, kActions, kChoices };
  Kind kind;
  std::int64_t which, columns;
};

// Who acts, who of them learns, and what these decide besides actions.
struct Sources {
  std::int64_t agents, learners, further;
};

// Throws unless all channels tell of what is there, in the columns that the network hears.
inline void check_heard(const std::vector<Channel>& channels, const Sources& there,
                        std::int64_t expected) {
  const auto refuse = [](const char* what, std::int64_t given, const std::string& wanted) {
    throw pybind11::value_error(std::string("collect: ") + what + " " + std::to_string(given) +
                                ", expected " + wanted);
  };
  std::int64_t columns = 0;
  for (const Channel& channel : channels) {
    const auto kind = static_cast<std::int64_t>(channel.kind);
    if (kind < Channel::kSilence || kind > Channel::kChoices) {
      refuse("a channel of kind", kind, "0 to 2");
    }
    if (kind == Channel::kChoices) {
      if (channel.which < 0 || channel.which >= there.further) {
        refuse("a channel of further decision", channel.which,
               "one of " + std::to_string(there.further));
      }
      if (channel.columns != there.learners) {
        refuse("columns of choices:", channel.columns, std::to_string(there.learners));
      }
    }
    if (channel.columns < 0 || (kind == Channel::kActions && channel.columns > there.agents)) {
      refuse("columns of a channel:", channel.columns, "at most " + std::to_string(there.agents));
    }
    columns += channel.columns;
  }
  if (columns != expected) refuse("columns heard:", columns, std::to_string(expected));
}

}  // namespace socialgrid::bindings
