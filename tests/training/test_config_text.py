"""The config as it is printed: every field, each as a flag would take it."""

import ast
import re

import pytest

from configs import demo, ntu
from rgb2ir_jax.training.observing.config_text import describe_config
from rgb2ir_jax.training.validation import flatten


def read_back(text):
    """The fields of the printed text, by its own rules."""
    found, section = {}, ""
    for line in text.splitlines():
        if head := re.match(r"  config\.\S*", line):
            section = head.group().strip().removeprefix("config.")
            line = line[head.end() :]
        # Values may hold single spaces, and fields are two apart.
        for field in re.split(r"  +(?=\w+=)", line.strip()):
            name, _, value = field.partition("=")
            found[section + name] = ast.literal_eval(value)
    return found


@pytest.mark.parametrize("variant", ["teacher", "mgcam+dkd"])
@pytest.mark.parametrize("source", [ntu, demo])
def test_every_field_can_be_read_back(source, variant):
    config = source.get_config(variant)
    with config.unlocked():
        config.data.dir = "/a folder with  two spaces/" + "very/long/" * 20
    text = describe_config(config)
    assert read_back(text) == flatten(config)
    long = [line for line in text.splitlines() if len(line) > 100]
    assert all("very/long" in line for line in long)
    assert len(text.splitlines()) < 70
