// Layouts: a byte names the game, others change the layout that its environment has now.
#include <bit>
#include <optional>

#include "tables.hpp"

using namespace socialgrid;

namespace {

int any_int(fuzz::Bytes& bytes) {
  const std::size_t kind = bytes.below(8);
  return kind == 0 ? bytes.take<std::int32_t>()
                   : static_cast<std::int8_t>(bytes.take<std::uint8_t>());
}

std::string any_thing(fuzz::Bytes& bytes) {
  constexpr const char* kThings[] = {"yellow key",       "red ball", "blue box", "red locked door",
                                     "yellow open door", "green",    "",         "key"};
  return bytes.below(4) == 0 ? bytes.text(30) : kThings[bytes.below(std::size(kThings))];
}

void change(Layout& layout, fuzz::Bytes& bytes) {
  const std::size_t agents = layout.agent_pos.size();
  const std::size_t agent = bytes.below(agents + (bytes.below(16) == 0 ? 1 : 0));
  const auto grown = [&](auto& list) -> auto& {
    if (list.size() <= agent) list.resize(bytes.below(8) == 0 ? agent + 1 : agents);
    return list;
  };
  if (agent >= agents) {
    layout.agent_pos.resize(bytes.below(5));
    return;
  }
  switch (bytes.below(12)) {
    case 0:
      layout.agent_pos[agent] = {any_int(bytes), any_int(bytes)};
      break;
    case 1:
      if (agent < layout.agent_dir.size()) layout.agent_dir[agent] = any_int(bytes);
      break;
    case 2:
      grown(layout.agent_active)[agent] = bytes.below(2) == 1;
      break;
    case 3:
      grown(layout.agent_fields["carrying"])[agent] = any_thing(bytes);
      break;
    case 4:
      grown(layout.agent_fields["prestige"])[agent] =
          std::bit_cast<double>(bytes.take<std::uint64_t>());
      break;
    case 5:
      grown(layout.agent_fields["last_tile"])[agent] = any_int(bytes);
      break;
    case 6:
      layout.step = any_int(bytes);
      break;
    case 7:
      layout.details[{any_int(bytes), any_int(bytes)}] = any_thing(bytes);
      break;
    case 8:
      layout.cells.resize(bytes.below(layout.cells.size() + 3));
      break;
    default: {
      if (layout.cells.empty()) break;
      std::string& line = layout.cells[bytes.below(layout.cells.size())];
      const std::string other = bytes.below(6) == 0
                                    ? bytes.text(4)
                                    : std::string(1,
                                                  "."
                                                  "#0123GLDKOBPA@HRSsB "[bytes.below(21)]);
      line.replace(bytes.below(line.size() + 1), bytes.below(8) == 0 ? 0 : other.size(), other);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Bytes bytes(data, size);
  fuzz::Table& table = fuzz::table(bytes.take<std::uint8_t>());
  const std::vector<std::byte> start = table.batch.snapshot();
  table.play(bytes, static_cast<int>(bytes.below(4)));
  const std::vector<std::byte> before = table.batch.snapshot();
  Layout layout = table.batch.layout(0);
  for (int i = 0; i < 8 && !bytes.empty(); ++i) change(layout, bytes);
  try {
    table.batch.set_layout(0, layout);
    fuzz::check(table.batch.layout(0).cells == layout.cells, "a layout came back otherwise");
    fuzz::check(table.batch.layout(0).agent_pos == layout.agent_pos, "agents are elsewhere");
    table.check_round_trips();
    table.play(bytes, 3);
  } catch (const LayoutError& error) {
    fuzz::check(std::string_view(error.what()).size() < 4000, "an endless message");
    fuzz::check(table.batch.snapshot() == before, "a refused layout changed the batch");
  }
  table.batch.restore(start);
  return 0;
}
