// Snapshots: a byte names the game. The rest is a whole snapshot, or changes to a sound one: pairs
// of a place and a byte. Its checksum is put right.
#include "../cpp/forged.hpp"
#include "tables.hpp"

using namespace socialgrid;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Bytes bytes(data, size);
  fuzz::Table& table = fuzz::table(bytes.take<std::uint8_t>());
  const std::vector<std::byte> sound = table.batch.snapshot();
  std::vector<std::byte> forged = sound;
  const std::uint8_t kind = bytes.take<std::uint8_t>();
  if (kind == 'W') {  // a whole one
    forged.resize(size - std::min<std::size_t>(size, 2));
    for (std::byte& byte : forged) byte = bytes.take<std::byte>();
  } else {
    for (int i = 0; i < 6 && !bytes.empty(); ++i) {
      const std::uint16_t place = bytes.take<std::uint16_t>();
      // Mostly in the worlds, which are last.
      const std::size_t at =
          bytes.below(8) == 0 ? place % forged.size() : forged.size() - 1 - place % forged.size();
      forged[at] ^= bytes.take<std::byte>();
    }
    if (kind < 32) forged.resize(forged.size() - kind);
  }
  if (kind % 2 == 1) socialgrid::testing::sign(forged);
  try {
    table.batch.restore(forged);
    if (!table.batch.is_reset()) table.reset();  // what is taken from a batch not yet in play
    table.play(bytes, 6);
    table.batch.layout(0);
    table.batch.render(0, 3);
    const std::vector<std::byte> now = table.batch.snapshot();
    table.batch.restore(now);
    fuzz::check(table.batch.snapshot() == now, "a snapshot came back otherwise");
  } catch (const SnapshotError&) {
    // Either the forged one was refused and nothing has changed, or play went where no snapshot
    // may be taken from.
  }
  table.batch.restore(sound);
  return 0;
}
