"""The `tidegauge` command and the subcommands that need nothing but firmware."""
