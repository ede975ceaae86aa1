"""The command `vocoder`: the application, its batch runs, tables and pipes."""
