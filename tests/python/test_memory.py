"""What a step writes is memory that stays, and what was handed out poisons nothing later."""

import array
import mmap
import subprocess
import sys

import numpy as np
import pytest
import torch

import socialgrid

E, A = 4, 3
ACTIONS = np.zeros((E, A), np.int64)


def make(**options):
    env = socialgrid.make_vec(
        "GoalCycle-v0", **{"num_envs": E, "num_agents": A, "num_threads": 2, "seed": 1, **options}
    )
    env.reset()
    return env


def obs_shape(env):
    return (E, A, *env.obs_shape)


class Lazy:
    """Like h5py's data sets: numpy makes a new array of it."""

    def __init__(self, shape, dtype):
        self.store = np.zeros(shape, dtype)

    def __array__(self, dtype=None, copy=None):
        return self.store.copy()


class Interface:
    """Shares its memory by __array_interface__, but says nothing of who keeps it."""

    def __init__(self, store):
        self.__array_interface__ = store.__array_interface__


def not_in_place(env):
    shape = obs_shape(env)
    reward = torch.zeros((E, A), requires_grad=True)
    bare = np.zeros(shape, np.uint8)
    return {
        "an __array__ that copies": {"obs": Lazy(shape, np.uint8)},
        "lists": {"reward": [[0.0] * A] * E},
        "a list of tensors": {"reward": [torch.zeros(A)] * E},
        "an array of arrays": {"reward": np.array([[None] * A] * E, object)},
        "an address without an owner": {"obs": Interface(bare)},
        "a tensor that requires a gradient": {"reward": reward},
        "a tensor on no device": {"reward": torch.zeros((E, A), device="meta")},
        "a sparse tensor": {"reward": torch.zeros((E, A)).to_sparse()},
        "an expanded tensor": {"reward": torch.zeros((E, 1)).expand(E, A)},
        "a broadcast array": {"reward": np.broadcast_to(np.zeros((E, 1), np.float32), (E, A))},
        "rows that overlap": {
            "reward": np.lib.stride_tricks.as_strided(np.zeros(E * A, "f4"), (E, A), (4, 4))
        },
        "backwards": {"reward": np.zeros((E, A), np.float32)[::-1]},
        "columns first": {"reward": np.zeros((E, A), np.float32, order="F")},
        "other byte order": {"reward": np.zeros((E, A), np.dtype(np.float32).newbyteorder())},
        "unaligned": {"reward": np.zeros(E * A * 4 + 1, np.uint8)[1:].view("f4").reshape(E, A)},
        "a number": {"reward": np.float32(1)},
        "bytes": {"obs": bytes(bare)},
        "read-only": {"obs": memoryview(bare).toreadonly()},
        "no array": {"obs": object()},
        "items that are no pairs": type("Odd", (), {"items": lambda self: [1, 2, 3]})(),
    }


@pytest.mark.parametrize("name", not_in_place(make()))
@pytest.mark.parametrize("call", ["step", "send"])
def test_only_memory_that_can_be_written_in_place_is_accepted(name, call):
    env, twin = make(), make()
    before = env.get_state()
    with pytest.raises((TypeError, ValueError), match="out"):
        getattr(env, call)(ACTIONS, out=not_in_place(env)[name])
    assert env.get_state() == before
    np.testing.assert_array_equal(env.step(ACTIONS)[0], twin.step(ACTIONS)[0])


def in_place(env):
    """Kinds of memory that a step can write: what is given, and an array that sees it."""
    reward = np.full((E, A), 7, np.float32)
    tensor = torch.full((E, A), 7.0)
    buffer = array.array("f", [7] * E * A)
    columns = np.full((E * A, 2), 7, np.float32).T
    return {
        "an array": (reward, reward),
        "a view": (columns.T.reshape(-1)[: E * A].reshape(E, A), None),
        "a tensor": (tensor, tensor.numpy()),
        "a part of a tensor": (torch.full((2, E, A), 7.0)[1], None),
        "a buffer": (memoryview(buffer).cast("B").cast("f", (E, A)), np.frombuffer(buffer, "f4")),
    }


@pytest.mark.parametrize("name", in_place(make()))
def test_what_is_written_in_place_is_seen_by_its_owner(name):
    env, twin = make(), make()
    given, seen = in_place(env)[name]
    seen = np.asarray(given) if seen is None else seen
    result = env.step(ACTIONS, out={"reward": given})[1]
    assert result is given
    np.testing.assert_array_equal(seen.reshape(E, A), twin.step(ACTIONS)[1])


def test_an_array_stays_where_it_is_while_a_step_is_under_way():
    env = make()
    obs = np.zeros(obs_shape(env), np.uint8)
    whole = np.zeros((2, E, A), np.float32)
    visible = bytearray(E * A * A)
    env.send(
        ACTIONS,
        out={
            "obs": obs,
            "reward": whole[1],
            "visible": memoryview(visible).cast("B", (E, A, A)),
        },
    )
    for owner in (obs, whole):
        with pytest.raises(ValueError, match="resize"):
            owner.resize(1, refcheck=False)
    with pytest.raises(BufferError):
        visible.clear()
    env.recv()
    obs.resize(1, refcheck=False)


def test_what_lies_under_an_array_stays_while_a_step_is_under_way():
    env, twin = make(), make()
    size = int(np.prod(obs_shape(env)))
    memory, shared = mmap.mmap(-1, size), bytearray(E * A)
    tensor = torch.zeros((E, A))
    out = {
        "obs": np.frombuffer(memory, np.uint8).reshape(obs_shape(env)),
        "active": np.ndarray((E, A), np.bool_, buffer=shared),
        "reward": tensor.numpy(),
    }
    env.send(ACTIONS, out=out)
    out["obs"].base.base.release()
    for end in (memory.close, shared.clear):
        with pytest.raises(BufferError):
            end()
    tensor.set_()
    reward = env.recv()[1]
    right = twin.step(ACTIONS)
    np.testing.assert_array_equal(np.frombuffer(memory, np.uint8), right[0].reshape(-1))
    np.testing.assert_array_equal(reward, right[1])
    gone = np.frombuffer(bytearray(E * A), np.bool_).reshape(E, A)
    gone.base.base.release()
    with pytest.raises(ValueError, match="released"):
        env.step(ACTIONS, out={"active": gone})


def test_a_tensor_may_be_given_other_memory_while_a_step_is_under_way():
    env, twin = make(), make()
    tensor = torch.zeros(obs_shape(env), dtype=torch.uint8)
    storage = tensor.untyped_storage()
    env.send(ACTIONS, out={"obs": tensor})
    with pytest.raises(RuntimeError, match="resiz"):
        storage.resize_(0)
    shared = tensor.detach()
    tensor.set_()
    del storage
    env.recv()
    np.testing.assert_array_equal(shared.numpy(), twin.step(ACTIONS)[0])


def test_a_tensor_larger_than_its_memory_is_refused():
    env = make()
    tensor = torch.zeros(1, dtype=torch.uint8)
    kept = tensor.numpy()
    with pytest.raises(RuntimeError):
        tensor.resize_(obs_shape(env))  # it cannot, and says afterwards that it did
    with pytest.raises((TypeError, ValueError), match="obs"):
        env.step(ACTIONS, out={"obs": tensor})
    assert kept.size == 1


def test_what_nobody_else_holds_is_kept_until_recv_and_then_let_go():
    env, twin = make(), make()
    obs = np.zeros(obs_shape(env), np.uint8)
    count = sys.getrefcount(obs)
    env.send(ACTIONS, out={"obs": obs})
    assert sys.getrefcount(obs) > count
    env.recv()
    assert sys.getrefcount(obs) == count
    env.send(ACTIONS, out={"obs": np.zeros(obs_shape(env), np.uint8)})
    twin.step(ACTIONS)
    np.testing.assert_array_equal(env.recv()[0], twin.step(ACTIONS)[0])


def test_results_may_not_share_memory_and_actions_may():
    env, twin = make(), make()
    size = int(np.prod(obs_shape(env)))
    memory = np.zeros(2 * size, np.uint8)
    parts = [memory[i : i + size].reshape(obs_shape(env)) for i in (0, size - 1)]
    with pytest.raises(ValueError, match="share memory"):
        env.step(ACTIONS, out={"obs": parts[0], "final_obs": parts[1]})
    actions = np.zeros((E, A), np.int32)
    env.step(actions, out={"last_actions": actions, "reward": np.zeros((E, A), np.float32)})
    twin.step(ACTIONS)
    assert env.get_state() == twin.get_state()


@pytest.mark.parametrize("obs_mode", ["rgb", "tiles"])
def test_writing_into_final_obs_changes_no_later_result(obs_mode):
    env = make(max_steps=5, obs_mode=obs_mode)
    given = None
    for step in range(16):
        # A view of an earlier one is given at times, as final_obs and as obs.
        name = "final_obs" if step % 4 == 1 else "obs"
        info = env.step(ACTIONS, out=None if given is None else {name: given})[4]
        if given is None:
            assert not info["final_obs"][~info["done"]].any()
        info["final_obs"][...] = 7
        given = info["final_obs"][:] if step % 2 == 0 else None
        del info


def test_a_length_of_seeds_is_compared_before_any_is_read():
    env, twin = make(), make()
    before = env.get_state()
    for seeds, words in [
        (range(10**9), "1000000000 entries for 4"),
        (range(2**70), "entries for 4"),
        (np.broadcast_to(np.uint8(0), 10**12), "1000000000000 entries"),
        ([1, 2, 3], "3 entries"),
        ({1: 1, 2: 2, 3: 3, 4: 4}, "sequence"),
        ({1, 2, 3, 4}, "sequence"),
        ([1, 2, 3, -4], r"seed\[3\]"),
        ([1, 2, 3, 4.0], r"seed\[3\]"),
    ]:
        with pytest.raises((TypeError, ValueError), match=words):
            env.reset(seed=seeds)
        assert env.get_state() == before

    class Liar(list):
        def __iter__(self):
            while True:
                yield 1

    with pytest.raises(ValueError, match="more than 4"):
        env.reset(seed=Liar([1, 2, 3, 4]))
    assert env.get_state() == before
    for seed in (5, np.int64(5), np.array(5), np.uint8(5)):
        np.testing.assert_array_equal(env.reset(seed=seed)[0], twin.reset(seed=5)[0])
    for seed in (range(4), np.arange(4), torch.arange(4), (0, 1, 2, 3)):
        np.testing.assert_array_equal(env.reset(seed=seed)[0], twin.reset(seed=[0, 1, 2, 3])[0])


DAEMON = """
import sys, threading
import numpy as np, socialgrid
env = socialgrid.make_vec("Harvest-v0", num_envs=300, num_threads={threads})
env.reset()
actions = np.zeros((300, env.num_agents), int)
under_way = threading.Semaphore(0)
def act():
    while True:
        {call}
        under_way.release()
threading.Thread(target=act, daemon=True).start()
for _ in range(3):
    assert under_way.acquire(timeout=30)
sys.exit(7)
"""


CALLS = {
    "step": "env.step(actions)",
    "send and recv": "env.send(actions); env.recv()",
    "reset": "env.reset()",
    "observe": "env.observe()",
    "render": "env.render(0, 8)",
    "worlds": "env.worlds(['cells'])",
    "get_state": "env.get_state()",
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", CALLS)
def test_a_daemon_thread_inside_a_call_does_not_abort_the_end_of_the_interpreter(name, threads):
    program = DAEMON.format(call=CALLS[name], threads=threads)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (7, "")
