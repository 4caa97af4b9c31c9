"""`python -m tenantry`: the command line, where the script is not on the path."""

from tenantry.cli.main import main

main()
