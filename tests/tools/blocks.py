"""Random blocks of every weight type of GGUF: any content, with scales set so that the values have a
wanted standard deviation. Needs numpy and gguf from PyPI; the layouts are those of the GGUF format."""
import functools
import math

import gguf
import numpy
from gguf import GGMLQuantizationType as Type

FLOATS = ("F32", "F16", "BF16")
SAMPLE = 512  # blocks that tell the spread of a type's values

# Where the half float that scales a block lies.
SCALE_AT = {"Q4_0": 0, "Q4_1": 0, "Q5_0": 0, "Q5_1": 0, "Q8_0": 0, "Q2_K": 80, "Q3_K": 108, "Q4_K": 0,
            "Q5_K": 0, "Q6_K": 208, "IQ4_NL": 0, "IQ4_XS": 0, "IQ2_XXS": 0, "IQ2_XS": 0, "IQ2_S": 0,
            "IQ3_XXS": 0, "IQ3_S": 0, "IQ1_S": 0}
# Types with a minimum: where its half float lies, and how many times the scale centres values on 0.
MINIMUM = {"Q4_1": (2, -7.5), "Q5_1": (2, -15.5), "Q2_K": (82, 1.5), "Q4_K": (2, 7.5), "Q5_K": (2, 15.5)}


def block_of(name):
    """Elements and bytes of a block."""
    return gguf.GGML_QUANT_SIZES[Type[name]]


def random_bytes(rng, size):
    words = rng.integers(0, 1 << 64, (size + 7) // 8, dtype=numpy.uint64)
    return words.view(numpy.uint8)[:size]


def halves(values):
    return values.astype(numpy.float16)[..., None].view(numpy.uint8)


def put_k_scales(rng, blocks):
    """The eight pairs of six bits of Q4_K and Q5_K, scale and minimum about alike."""
    sc = rng.integers(8, 61, (len(blocks), 8), dtype=numpy.uint8)
    mn = sc + rng.integers(0, 6, sc.shape, dtype=numpy.uint8) - 2
    blocks[:, 4:8] = sc[:, 0:4] | (sc[:, 4:8] >> 4) << 6
    blocks[:, 8:12] = mn[:, 0:4] | (mn[:, 4:8] >> 4) << 6
    blocks[:, 12:16] = (sc[:, 4:8] & 15) | (mn[:, 4:8] & 15) << 4


def put_small_scales(rng, blocks):
    """Q2_K: four bits of scale, and the same of minimum."""
    blocks[:, :16] = rng.integers(1, 16, (len(blocks), 16), dtype=numpy.uint8) * 17


def put_signed_scales(rng, blocks):
    """Q6_K: signed bytes away from zero, and never -128."""
    sc = rng.integers(16, 128, (len(blocks), 16), dtype=numpy.int8)
    blocks[:, 192:208] = (sc * rng.choice(numpy.array([-1, 1], numpy.int8), sc.shape)).view(numpy.uint8)


PARTS = {"Q4_K": put_k_scales, "Q5_K": put_k_scales, "Q2_K": put_small_scales, "Q6_K": put_signed_scales}


def put_spread_half(blocks, d):
    """IQ1_M keeps its half float in the top nibbles of four 16-bit words of scales."""
    bits = d.astype(numpy.float16).view(numpy.uint16)
    for i in range(4):
        at = 48 + 2 * i + 1
        blocks[:, at] = blocks[:, at] & 15 | (bits >> 4 * i & 15).astype(numpy.uint8) << 4


def scaled(rng, name, n, scale):
    """n random blocks whose scales lie around `scale`, of both signs."""
    blocks = random_bytes(rng, n * block_of(name)[1]).reshape(n, -1)
    if name in PARTS:
        PARTS[name](rng, blocks)
    d = scale * rng.uniform(0.6, 1.4, n) * rng.choice([-1.0, 1.0], n)
    if name == "MXFP4":  # the exponent of a power of two; values are F * 2^(e - 128)
        blocks[:, 0] = numpy.clip(128 + numpy.round(numpy.log2(numpy.abs(d))), 0, 254)
    elif name == "IQ1_M":
        put_spread_half(blocks, d)
    else:
        blocks[:, SCALE_AT[name]:SCALE_AT[name] + 2] = halves(d)
    if name in MINIMUM:
        at, times = MINIMUM[name]
        blocks[:, at:at + 2] = halves(d * times)
    return blocks


@functools.cache
def spread(name):
    """The standard deviation of values whose scales lie around 1."""
    blocks = scaled(numpy.random.default_rng(0), name, SAMPLE, 1.0)
    return float(gguf.quants.dequantize(blocks, Type[name]).std())


def random_blocks(rng, name, n, sigma):
    """n blocks of a quantised type, [n, bytes of a block], whose values have about the standard
    deviation sigma."""
    return scaled(rng, name, n, sigma / spread(name))


def random_floats(rng, name, shape, sigma):
    """Evenly spread values, as bytes of F32, F16 or BF16."""
    half = sigma * math.sqrt(3)
    values = rng.random(shape, dtype=numpy.float32) * numpy.float32(2 * half) - numpy.float32(half)
    if name == "F16":
        return values.astype(numpy.float16).view(numpy.uint8)
    bytes_ = values.view(numpy.uint8)
    return bytes_ if name == "F32" else bytes_.reshape(*shape, 4)[..., 2:].reshape(*shape[:-1], -1)


def random_matrix(rng, name, shape, sigma):
    """[..., rows, columns] of any type as GGUF bytes."""
    if name in FLOATS:
        return numpy.ascontiguousarray(random_floats(rng, name, shape, sigma))
    block, size = block_of(name)
    blocks = random_blocks(rng, name, math.prod(shape) // block, sigma)
    return blocks.reshape(*shape[:-1], shape[-1] // block * size)


def fitting(name, columns):
    """The type itself, or what files hold where its blocks do not divide the columns."""
    instead = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
    for candidate in (name, instead.get(name, "IQ4_NL"), "F16"):
        if columns % block_of(candidate)[0] == 0:
            return candidate
    raise AssertionError
