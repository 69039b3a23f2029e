// Checks of the eye that several threads see with.
#include <vector>

#include "check.hpp"
#include "crew.hpp"
#include "eye.hpp"

using namespace socialgrid::learning;  // NOLINT(google-build-using-namespace)

namespace {

// Whose weights are ready, several threads see with at once, each of which makes sure: that writes
// nothing. It is ThreadSanitizer that tells.
void threads_may_share_an_eye_that_is_ready() {
  const Kernels none{};  // nothing is packed of a layer of windows
  Outlook outlook;
  outlook.views = true;
  outlook.sight.layers = {{.rows = 3, .cols = 3, .inputs = 3, .outputs = 2, .kernel = 3}};
  const std::vector<float> values(static_cast<std::size_t>(outlook.parameters()));
  for (const bool learns : {false, true}) {
    Eye eye(none, outlook, values.data(), learns);
    for (int step = 0; step < 3; ++step) {
      eye.changed();
      eye.make_ready();
      side_by_side(3, [&](int) { eye.make_ready(); });
    }
  }
}

// Without views there is nothing to see but numbers, which are copied.
void numbers_are_seen_as_they_are() {
  const Kernels none{};
  Outlook outlook;
  outlook.bytes = 3 * sizeof(float);
  outlook.features = 3;
  Eye eye(none, outlook, nullptr, false);
  eye.make_ready();
  const std::vector<float> given = {1, 2, 3, 4, 5, 6};
  std::vector<float> seen(6);
  side_by_side(2, [&](int thread) {
    const auto* from = reinterpret_cast<const std::uint8_t*>(given.data() + 3 * thread);
    eye.see(from, 1, seen.data() + 3 * thread, thread == 1);
  });
  CHECK(seen == given);
}

}  // namespace

int main() {
  threads_may_share_an_eye_that_is_ready();
  numbers_are_seen_as_they_are();
  return socialgrid::testing::outcome();
}
