"""A step's batch and its gradients.

``learner.py`` draws the batch and divides it, ``workers.py`` has threads that compute a share each,
``prediction.py`` calls the network.
"""
