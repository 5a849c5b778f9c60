"""Engines that keep the promise of `tuanzi.machinery.push.ports.FanOut`."""
