"""How wrong an answer could be: its graph, its priors, its data, what nobody recorded."""
