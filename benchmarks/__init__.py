"""What is measured, and the plain formulations that it is measured against."""
