"""What runs on its own: schedules, servers, the dashboard."""
