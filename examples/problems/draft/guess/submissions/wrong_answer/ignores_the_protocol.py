print("Is it possibly the number seven?", flush=True)
