"""The counter-based random stream: Philox4x32-10 (Salmon, Moraes, Dror and Shaw, 2011).

A stream is named by (seed, environment, episode); nothing else ever changes what it yields.
"""

MASK = 0xFFFFFFFF
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)  # golden ratio and sqrt(3) - 1, as 32-bit fractions
ROUNDS = 10


def philox4x32(counter, key):
    """Return four random words for a counter of four words and a key of two words."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        product0 = MULTIPLIERS[0] * c0
        product1 = MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (
            (product1 >> 32) ^ c1 ^ k0,
            product1 & MASK,
            (product0 >> 32) ^ c3 ^ k1,
            product0 & MASK,
        )
        k0 = (k0 + KEY_STEPS[0]) & MASK
        k1 = (k1 + KEY_STEPS[1]) & MASK
    return c0, c1, c2, c3


class Stream:
    """The random numbers of one episode of one environment, generation and play alike."""

    def __init__(self, seed, env, episode):
        self.key = (seed & MASK, seed >> 32)
        self.counter_tail = (episode, env & MASK, env >> 32)
        self.block = 0
        self.words = []

    def next_word(self):
        """The next 32 random bits."""
        if not self.words:
            self.words = list(philox4x32((self.block, *self.counter_tail), self.key))
            self.block += 1
        return self.words.pop(0)

    def uniform_int(self, n):
        """Uniform on 0..n-1 without bias, by multiplication and rejection (Lemire, 2019)."""
        product = self.next_word() * n
        if product & MASK < n:
            threshold = (2**32 - n) % n
            while product & MASK < threshold:
                product = self.next_word() * n
        return product >> 32

    def uniform(self):
        """Uniform on [0, 1) with 53 random bits."""
        high = self.next_word() >> 5
        low = self.next_word() >> 6
        return (high * 2**26 + low) / 2**53

    def bernoulli(self, p):
        return self.uniform() < p

    def shuffle(self, items):
        """Fisher-Yates from the end, in place."""
        for i in range(len(items) - 1, 0, -1):
            j = self.uniform_int(i + 1)
            items[i], items[j] = items[j], items[i]

    def take(self, pool):
        """Remove and return a uniformly random item; the last one fills its place."""
        k = self.uniform_int(len(pool))
        item = pool[k]
        pool[k] = pool[-1]
        pool.pop()
        return item
