// What the server put into the page: the shell's facts and the page's first data.
const read = (id) => JSON.parse(document.getElementById(id).textContent);

export const shell = read("shell-data");
export const data = read("page-data");
