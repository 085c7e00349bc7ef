"""Do systems made up from the priors look like the real one?"""


def prior_predictive(): ...
