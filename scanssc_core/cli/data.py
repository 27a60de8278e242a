"""`scanssc data`: data sets."""

import typer

from scanssc_core.cli.data_synth import synth

data_app = typer.Typer(help="Make data sets.", no_args_is_help=True)
data_app.command()(synth)


@data_app.callback()
def data() -> None:
    """Keeps `synth` a subcommand while it is the only one."""
