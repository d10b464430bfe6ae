"""The stream of a control plane that receives what trackers send."""
