"""Supervision of a training that runs in a process of its own: restarts, heartbeats, incidents of a job."""
