def problems_of_twin(twin): return []
