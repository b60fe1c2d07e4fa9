"""A step's batch and its gradients.

``learner.py`` draws the batch and shares it out, ``workers.py`` has the threads that compute a
share each, ``prediction.py`` is what the network makes of it.
"""
