"""What one web page's measurement shows, judged with a control's view: the rules about a single target."""
