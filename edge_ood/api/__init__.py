"""What the commands do, as functions: plain options in, typed results out, one file for each."""
