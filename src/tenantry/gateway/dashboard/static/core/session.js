// The key of whoever is logged in. It is kept for this tab alone and goes with it.
const NAME = "tenantry-key";

export const session = {
  get key() {
    return sessionStorage.getItem(NAME);
  },
  begin(key) {
    sessionStorage.setItem(NAME, key);
  },
  end() {
    sessionStorage.removeItem(NAME);
  },
};

// Whether a key with these rights may do what needs one of them.
export const may = (who, right) => who.rights.includes(right);
