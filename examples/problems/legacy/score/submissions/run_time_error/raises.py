raise SystemExit("there is no box")
