"""Supervision of a training that runs in a child process: restarts, heartbeats, incidents of a job."""
