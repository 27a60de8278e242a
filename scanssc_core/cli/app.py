"""The subcommands of `scanssc`, one a room, and the options of all."""

import typer

import scanssc_core
from scanssc_core.cli.ablate import ablate
from scanssc_core.cli.bag import bag_app
from scanssc_core.cli.calibrate import calibrate
from scanssc_core.cli.checkpoint import checkpoint_app
from scanssc_core.cli.data import data_app
from scanssc_core.cli.eval import evaluate
from scanssc_core.cli.eval_sequence import eval_sequence
from scanssc_core.cli.export import export
from scanssc_core.cli.gallery import gallery
from scanssc_core.cli.info import info
from scanssc_core.cli.predict import predict
from scanssc_core.cli.stereo import stereo_app
from scanssc_core.cli.submit import submit
from scanssc_core.cli.train import train
from scanssc_core.cli.view import view

app = typer.Typer(
    help="Semantic scene completion from a stereo pair, without ROS.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(bag_app, name="bag")
app.add_typer(checkpoint_app, name="checkpoint")
app.add_typer(data_app, name="data")
app.add_typer(stereo_app, name="stereo")
app.command()(ablate)
app.command()(calibrate)
app.command("eval")(evaluate)
app.command("eval-sequence")(eval_sequence)
app.command()(export)
app.command()(gallery)
app.command()(info)
app.command()(predict)
app.command()(submit)
app.command()(train)
app.command()(view)


@app.callback(invoke_without_command=True)
def common(
    version: bool = typer.Option(False, "--version", help="Print the version and exit.", is_eager=True),
) -> None:
    """Options of all commands."""
    if version:
        typer.echo(scanssc_core.__version__)
        raise typer.Exit
