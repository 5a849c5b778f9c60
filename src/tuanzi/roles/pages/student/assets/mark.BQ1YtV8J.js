const a="/m/static/brand/mark.svg";export{a as _};
