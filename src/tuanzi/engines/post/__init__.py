"""Engines that keep the promise of `tuanzi.machinery.post.Post`."""
