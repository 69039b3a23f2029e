// What can happen in a scenario. Each throws CheckFailed where something does not hold.
#pragma once

#include "stress/dice.hpp"

namespace socialgrid::stress {

// One random game in two batches that differ only in their number of threads and have to come to
// equal bytes, while snapshots are taken, damaged and restored, layouts move between environments,
// rules throw inside workers, steps run in the background and batches come and go.
void play(Dice& dice);

// Ranges of environments that go their ways, and somebody scripted in them, come to where they come
// step by step, or nowhere.
void go_on_an_excursion(Dice& dice);

// What batches stand on: threads that share work, a task in the background, distances.
void share_out_work(Dice& dice);
void leave_a_task_running(Dice& dice);
void measure_distances(Dice& dice);

}  // namespace socialgrid::stress
