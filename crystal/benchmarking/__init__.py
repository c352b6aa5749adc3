"""What this machine gives: each operation and the whole job, timed, beside peers that are installed."""
