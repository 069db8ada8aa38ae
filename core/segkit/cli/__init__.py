"""The command ``segkit``. Each subcommand lives in a module of its own, imported only when it runs."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from importlib import import_module
from traceback import format_exc

import click

from segkit import __version__
from segkit.cli._events import tell
from segkit.errors import SegkitError, SegkitWarning

__all__ = ["main"]

# command: (module, one line for the list of commands)
COMMANDS = {
    "list": ("_components", "List the installed components, of one kind or all."),
    "show": ("_components", "Show a component, with everything you can choose of it."),
    "plugins": ("_components", "List the installed plugins, and what is wrong with the broken ones."),
    "info": ("_data", "Show what an image or label file holds, without reading its voxels."),
    "convert": ("_data", "Write any readable volume as OME-Zarr: sharded, compressed, checksummed, with a pyramid."),
    "analyze": ("_analyze", "Say what images and labels are like, what is wrong with them, and whether a split leaks."),
    "plan": ("_plan", "Write a recipe that suits the data, with a reason beside each choice."),
    "train": ("_train", "Train a network as a recipe says; run again to resume."),
    "report": ("_reports", "Write a page about a training: scores, curves, and what to know about them."),
    "compare": ("_reports", "Compare trainings, with intervals over seeds, and say what can be told apart."),
    "sweep": ("_sweep", "Train a recipe many times with other settings, and compare; run again to resume."),
    "predict": ("_predict", "Predict a whole volume with a trained model; run again to resume."),
    "segment": ("_objects", "Cut a prediction into objects."),
    "trace": ("_objects", "Draw the skeletons of objects: SWC files and a table."),
    "mend": ("_mend", "Bring merges and splits that were made by hand in traces into a segmentation."),
    "evaluate": ("_evaluate", "Compare a segmentation or a prediction with ground truth."),
    "demo": ("_demo", "Train, predict, segment, trace and score on a small piece of real tissue."),
    "view": ("_view", "Open volumes, predictions and run folders in napari."),
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"segkit.cli.{COMMANDS[cmd_name][0]}"), f"{cmd_name}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from segkit.errors import did_you_mean

        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(f"There is no command '{args[0]}'.{did_you_mean(args[0], COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="segkit")
def cli() -> None:
    """Train segmentation networks on large images, predict, cut into objects and trace neurons.

    \b
    Exit codes: 0 done; 1 failed; 2 usage; 3 finished with parts missing; 65 bad data; 69 plugin;
    73 output exists; 74 disk; 75 in use by another process; 130 and 143 stopped by Ctrl-C and SIGTERM.
    """


_python_format = warnings.formatwarning


def _format_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """Show segkit's own warnings as one line, without the place in the source that gave them."""
    if issubclass(category, SegkitWarning):
        return f"warning: {message}\n"
    return _python_format(message, category, filename, lineno, line)


def main(args: list[str] | None = None) -> None:
    """Run the command line; every expected failure is one line on stderr and an exit code."""
    warnings.formatwarning = _format_warning
    try:
        # A pipe that closes early (`| head`) is not a failure of ours.
        if hasattr(signal, "SIGPIPE"):
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        code = cli.main(args=args, standalone_mode=False)
    except SegkitError as error:
        if os.environ.get("SEGKIT_DEBUG") == "1":
            raise
        click.echo(f"{click.style('error:', fg='red')} {error}", err=True)
        code = error.exit_code
        tell("failed", type=type(error).__name__, message=str(error))
    except click.ClickException as error:
        error.show()
        code = error.exit_code
        tell("failed", type="UsageError", message=error.format_message())
    except (KeyboardInterrupt, click.Abort):
        click.echo("stopped", err=True)
        code = 130
    except Exception as error:
        tell("failed", type=type(error).__name__, message=f"{type(error).__name__}: {error}", details=format_exc())
        raise
    code = code if isinstance(code, int) else 0
    tell("ended", code=code)
    sys.exit(code)
