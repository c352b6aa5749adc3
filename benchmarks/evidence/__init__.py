"""Error rates of crystal's numbers and verdicts, measured on truth. ``make evidence`` runs all of it."""
