"""Engines that keep the promise of `tuanzi.machinery.sharedcache.SharedCache`."""
