"""``python -m netgain`` is the command ``netgain``."""

from netgain.cli import main

main()
