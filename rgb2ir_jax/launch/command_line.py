"""The config flag of the commands that train: a user's mistake is one line and exit code 2."""

import importlib.util
import sys
from collections.abc import Callable
from typing import NoReturn

from absl import flags
from ml_collections import ConfigDict, config_flags


def define_config() -> flags.FlagHolder:
    """Defines `--config=FILE.py[:VARIANT]` and its `--config.FIELD=VALUE`, which must be given."""
    holder = config_flags.DEFINE_config_file(
        "config", help_string="A file of configs/, with :VARIANT after it."
    )
    flags.mark_flag_as_required("config")
    return holder


def parse_flags(arguments: list[str]) -> list[str]:
    """What absl does with the command line, but a user's mistake is one line and exit code 2."""
    try:
        remaining = flags.FLAGS(arguments)
        # A config file that is not there fails when the config is first looked at.
        _ = flags.FLAGS["config"].value.is_locked  # type: ignore[union-attr]
    except flags.Error as error:
        fail(_root(error) if "\n" in str(error) else error)
    except OSError as error:
        fail(f"--config: {str(error).splitlines()[-1].strip()}")
    except (AttributeError, KeyError) as error:
        if "Traceback" in str(error):  # From within the config file: a bug for its author.
            raise
        # ml_collections names the field that the config does not have, and one that is like it.
        inner = error.args[0]
        found = inner.args[0] if isinstance(inner, KeyError) else inner
        fail("the config has no such field: " + str(found).replace("\n", ". "))
    if len(remaining) > 1:
        fail(f"unexpected arguments {remaining[1:]}; every option starts with --")
    return remaining


def _root(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


def fail(message: object) -> NoReturn:
    """Ends the command with a line on stderr and exit code 2."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


def config_of_variants() -> Callable[[str], ConfigDict]:
    """Returns variant -> what `--config` would be with that variant behind the colon.

    The command line's overrides hold for every variant, those of a method's section for the
    variants that have the method.
    """
    flag = flags.FLAGS["config"]
    path = config_flags.get_config_filename(flag)
    overrides = config_flags.get_override_values(flag)
    spec = importlib.util.spec_from_file_location("rgb2ir_jax_config", path)
    if spec is None or spec.loader is None:
        fail(f"--config: {path!r} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def config_of(variant: str) -> ConfigDict:
        config = module.get_config(variant)
        methods = tuple(f"distill.{name}." for name in config.distill)
        applicable = {
            field: value
            for field, value in overrides.items()
            if not field.startswith("distill.") or field.startswith(methods)
        }
        config.update_from_flattened_dict(applicable)
        return config

    return config_of
