#include "grid/distances.hpp"

#include <algorithm>
#include <vector>

namespace socialgrid {

void action_distances(std::span<const std::uint8_t> passable, int rows, int cols, Position target,
                      std::span<std::int32_t> distances) {
  struct Pose {
    Position position;
    int dir;
  };
  const auto at = [&](const Pose& pose) -> std::int32_t& {
    const int cell = (pose.dir * rows + pose.position.row) * cols + pose.position.col;
    return distances[static_cast<std::size_t>(cell)];
  };
  const auto can_stand = [&](Position p) {
    return p.row >= 0 && p.col >= 0 && p.row < rows && p.col < cols &&
           (p == target || passable[static_cast<std::size_t>(p.row * cols + p.col)] != 0);
  };
  std::fill(distances.begin(), distances.end(), -1);

  // Breadth first, backwards from the entries into the target.
  std::vector<Pose> queue;
  const auto reach = [&](const Pose& pose, std::int32_t distance) {
    if (!can_stand(pose.position) || at(pose) >= 0) return;
    at(pose) = distance;
    queue.push_back(pose);
  };
  const auto behind = [](const Pose& pose) {
    return Position{pose.position.row - kRowStep[pose.dir], pose.position.col - kColStep[pose.dir]};
  };
  for (int dir = 0; dir < 4; ++dir) reach({behind({target, dir}), dir}, 1);
  for (std::size_t head = 0; head < queue.size(); ++head) {
    const Pose pose = queue[head];
    const std::int32_t next = at(pose) + 1;
    reach({pose.position, (pose.dir + 1) % 4}, next);
    reach({pose.position, (pose.dir + 3) % 4}, next);
    // Walking on over the target would have entered it.
    if (pose.position != target) reach({behind(pose), pose.dir}, next);
  }
}

}  // namespace socialgrid
